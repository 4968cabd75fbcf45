//go:build !race

package evil

// underRace tells whether the programs look for data races, for which they keep
// memory of their own.
const underRace = false
