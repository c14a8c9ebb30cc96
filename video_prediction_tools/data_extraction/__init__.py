"""Where the weather comes from: Copernicus (cdsapi), a local archive (GRIB, NetCDF, Zarr), a synthetic
atmosphere.
"""
