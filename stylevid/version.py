"""The version, which results name as well."""

__version__ = "0.1.0"
