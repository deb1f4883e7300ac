"""Where data comes from: published sets, pictures in a folder, drawn garments, the diabetes data."""
