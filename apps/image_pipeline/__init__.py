"""A picture in, its label out: three services in a row, with arrays handed on between them.

It is an application of Kapelle, not a part of it: everything here uses the public interface only.
"""
