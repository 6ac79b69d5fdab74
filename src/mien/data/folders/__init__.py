"""Image folders: their layouts, spellings of classes, labels in a csv, and the faces in the images."""
