"""Pictures and reports of a case, drawn with matplotlib from stored maps; needs no network and no display."""
