"""Csv files of faces in other forms than the original."""
