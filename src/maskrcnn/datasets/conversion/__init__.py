"""Writers of annotation formats, and the conversion of any data set into one of them."""
