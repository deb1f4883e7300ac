"""Sources of data: published sets, a folder of images, synthetic garments, the diabetes data."""
