"""Passes that recognise what a region computes, however it is spelled, and write it in its best form."""
