"""Reports for people: tables on the terminal, and the HTML page of `train report`."""
