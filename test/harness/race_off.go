//go:build !race

package harness

// Race tells whether the tests look for data races. Then so do the programs,
// which are slow and keep memory of their own, and what is done many times is
// done as often as in .ci/run.
const Race = false
