package config

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownKey words the fault of a key that is not among the known ones.
func UnknownKey(key string, known []string) string {
	if near, ok := nearest(key, known); ok {
		return fmt.Sprintf("unknown key (did you mean %q?)", near)
	}
	known = slices.Clone(known)
	slices.Sort(known)
	return "unknown key (known are " + strings.Join(known, ", ") + ")"
}

// nearest finds the candidate that key is most likely a misspelling of.
func nearest(key string, candidates []string) (string, bool) {
	best, bestDistance := "", 1+max(1, len(key)/3)
	for _, candidate := range candidates {
		if d := distance(strings.ToLower(key), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best, best != ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make a into b.
func distance(a, b string) int {
	const far = 1 << 10
	if max(len(a), len(b)) > 64 {
		return far
	}
	previous, current, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range current {
		current[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replace := current[j]
			if a[i] != b[j] {
				replace++
			}
			next[j+1] = min(replace, current[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], previous[j-1]+1)
			}
		}
		previous, current, next = current, next, previous
	}
	return current[len(b)]
}
