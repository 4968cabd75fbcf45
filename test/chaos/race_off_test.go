//go:build linux && !race

package chaos

// underRace tells whether the programs look for data races, for which they keep
// memory of their own.
const underRace = false
