"""What keys use over days and months, in calls, tokens and money: counted, kept in a file, and bounded."""
