"""Errors that the user can put right: the command line prints their text and exits with 1."""


class TwodaslError(Exception):
    """Something handed to twodasl does not fit; the text says what was expected, what came, and which file."""


class FileError(TwodaslError):
    """A file is missing, unreadable, cannot be written, or does not hold what its place asks for."""


class NotFiniteError(FileError):
    """A file holds NaN or infinite values where points are expected."""


class ShapeError(TwodaslError):
    """An array has another shape than the function reads."""


class NamesError(TwodaslError):
    """Names and arrays do not pair: a name is missing, stands twice, or there are more rows than names."""


class BasisError(TwodaslError):
    """Coefficients belong to another face model than the one at hand."""


class DegenerateFaceError(TwodaslError):
    """A face without extent, or with values that are not finite: the number asked for is undefined."""


class SettingsError(TwodaslError):
    """A setting is unknown or out of its range."""
