// Package pythonapprise holds the tests of the channel in this folder, which is
// written in Python.
package pythonapprise
