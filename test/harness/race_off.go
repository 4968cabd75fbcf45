//go:build !race

package harness

// race tells whether the tests look for data races: then so do the programs.
const race = false
