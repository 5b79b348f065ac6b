"""The web page: pictures to pick from, requests and their results, the queue, the page itself."""
