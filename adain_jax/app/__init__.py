"""The web page: pictures to pick from, what is painted of them, whose turn it is, the page itself."""
