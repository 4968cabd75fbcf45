//go:build race

package hostile

// underRace tells whether the programs look for data races, for which they keep
// memory of their own.
const underRace = true
