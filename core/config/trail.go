package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mostLinks is how many links the system follows on the way to a file.
const mostLinks = 40

// trail is what to watch in order to see each change of files, also one of the
// way to them. Its paths have no links in them, so that none is noted twice.
type trail struct {
	names map[string]bool // of the files, and of each step on the way
	dirs  map[string]bool // that hold the files, or a link on the way, or lack a step
}

// follow adds the way to a file, an absolute path, as far as there is one.
func (t *trail) follow(path string) {
	at, steps := split(path)
	for links := 0; len(steps) > 0; {
		name := steps[0]
		steps = steps[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		step := filepath.Join(at, name)
		t.names[step] = true
		info, err := os.Lstat(step)
		if err == nil && info.IsDir() && len(steps) > 0 {
			at = step
			continue
		}
		t.dirs[at] = true
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return
		}
		target, err := os.Readlink(step)
		if links++; err != nil || links > mostLinks {
			return
		}
		root, first := split(target)
		if filepath.IsAbs(target) {
			at = root
		}
		steps = append(first, steps...)
	}
}

// split returns the root of a path's volume and the names after it.
func split(path string) (root string, steps []string) {
	separator := string(filepath.Separator)
	volume := filepath.VolumeName(path)
	return volume + separator, strings.Split(path[len(volume):], separator)
}
