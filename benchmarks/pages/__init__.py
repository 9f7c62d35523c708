"""Writers of the pages whose results are kept in ``results/``."""
