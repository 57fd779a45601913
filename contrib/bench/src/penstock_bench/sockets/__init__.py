"""`penstock bench sockets`: the same calls over real sockets, by Penstock and by other ways to keep within limits."""
