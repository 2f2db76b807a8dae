"""The course as a whole: its notebooks, their order, what is published of them."""
