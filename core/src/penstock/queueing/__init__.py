"""Items in lanes, lanes in arenas, refusals parked: what both gates' queues are made of. Pure."""
