"""The coupling flow, in torch: marginals, coupling layers, mixture layer.

Tensors are laid out columns first, ``(n_columns, n_rows)``: every elementwise
step then runs along contiguous rows, which is what the CPU and the GPU are
fast at.
"""
