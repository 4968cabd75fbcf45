package config

import (
	"encoding/json"
	"strconv"
	"strings"
)

// step is one part of a key path: a key, or an index into an array.
type step struct {
	key     string
	index   int
	isIndex bool
}

// joinKey extends a path by a key: a.b, or a["b.c"] if the key is not plain.
func joinKey(path, key string) string {
	switch {
	case !isPlain(key):
		return path + "[" + string(quote(key)) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// joinIndex extends a path by an index: a[0].
func joinIndex(path string, index int) string {
	return path + "[" + strconv.Itoa(index) + "]"
}

func isPlain(key string) bool {
	for _, r := range key {
		if !(r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return false
		}
	}
	return key != ""
}

func formatSteps(steps []step) string {
	path := ""
	for _, s := range steps {
		if s.isIndex {
			path = joinIndex(path, s.index)
		} else {
			path = joinKey(path, s.key)
		}
	}
	return path
}

// parseSteps reads a path as joinKey and joinIndex write it. ok is false if a
// part is not understood; the steps before it are returned all the same.
func parseSteps(path string) (steps []step, ok bool) {
	for first := true; path != ""; first = false {
		if rest, bracket := strings.CutPrefix(path, "["); bracket {
			s, after, ok := parseBracket(rest)
			if !ok {
				return steps, false
			}
			steps, path = append(steps, s), after
			continue
		}
		if !first {
			rest, dot := strings.CutPrefix(path, ".")
			if !dot {
				return steps, false
			}
			path = rest
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		if end == 0 {
			return steps, false
		}
		steps, path = append(steps, step{key: path[:end]}), path[end:]
	}
	return steps, true
}

// parseBracket reads 0] or "key"] and returns what follows.
func parseBracket(s string) (step, string, bool) {
	if strings.HasPrefix(s, `"`) {
		decoder := json.NewDecoder(strings.NewReader(s))
		var key string
		if decoder.Decode(&key) != nil {
			return step{}, "", false
		}
		after, closed := strings.CutPrefix(s[decoder.InputOffset():], "]")
		return step{key: key}, after, closed
	}
	digits, after, closed := strings.Cut(s, "]")
	index, err := strconv.Atoi(digits)
	if !closed || err != nil || index < 0 {
		return step{}, "", false
	}
	return step{index: index, isIndex: true}, after, true
}
