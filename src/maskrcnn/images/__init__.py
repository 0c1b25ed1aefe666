"""Image files, arrays and addresses as pixels in numpy, without torch.

A kind of file has a file: ``pillow_file``, ``tiff_file`` (its samples: ``tiff_codec``), ``npy_file``, ``id_map_file``,
``embedded_image``, ``web_image``. ``image_limits`` checks a file before decoding, ``image_formats`` lists suffixes.
``image_reader`` picks the right one and gives RGB, stored channels or object ids; ``channels`` gives a model's input.
``image_like`` takes whatever a user passes, ``sources`` finds the images of arguments, ``prefetch`` reads in advance.
``input_size`` and ``block_mean`` are the arithmetic of resizing, ``fingerprint`` finds copies.

A new kind of file, also of volumes or slides, is a file here with ``is_…`` and ``open_…``: opening reads the header,
a page, plane or region is read on request. Tiling and merging results belong into `predict`.
"""
