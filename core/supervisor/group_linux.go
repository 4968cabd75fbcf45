package supervisor

import (
	"bytes"
	"os"
	"slices"
	"strconv"
)

// groupUsages adds up what the processes of each of some groups take; nil if that
// can not be found out.
func groupUsages(groups ...int) map[int]usage {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil
	}
	usages, page := make(map[int]usage, len(groups)), int64(os.Getpagesize())
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp …, rss as the 24th field, in pages; the
		// name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 22 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue // dead, and not waited for
		}
		group, err := strconv.Atoi(string(fields[2]))
		if err != nil || !slices.Contains(groups, group) {
			continue
		}
		pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
		u := usages[group]
		u.processes++
		u.resident += pages * page
		usages[group] = u
	}
	return usages
}
