"""Finished work in other programs' formats: labelmaps, DICOM SEG, tables, surfaces."""
