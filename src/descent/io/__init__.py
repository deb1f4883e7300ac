"""Reading and writing: errors, parameters, files, tensors, data sets, and the paths of the project."""
