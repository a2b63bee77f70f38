"""Table file formats: recognise a file, decompress it, and give its columns Arrow types."""
