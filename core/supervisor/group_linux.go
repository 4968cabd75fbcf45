package supervisor

import (
	"bytes"
	"os"
	"strconv"
)

// groupUsage adds up what the processes of a group take; false if that can not
// be found out.
func groupUsage(group int) (usage, bool) {
	proc, err := os.Open("/proc")
	if err != nil {
		return usage{}, false
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return usage{}, false
	}
	var u usage
	page, want := int64(os.Getpagesize()), []byte(strconv.Itoa(group))
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
		if len(fields) < 22 || !bytes.Equal(fields[2], want) || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue // not of the group, or dead and not waited for
		}
		pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
		u.processes++
		u.resident += pages * page
	}
	return u, true
}
