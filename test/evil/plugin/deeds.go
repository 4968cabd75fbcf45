package main

import (
	"bytes"
	"os"
	"os/exec"
	"time"
)

// deeds are vices of the process, whatever it says.
func deeds(much bool) map[string]vice {
	megabytes := 50
	if much {
		megabytes = 1000
	}
	return map[string]vice{
		"leaks":         {act: leak},
		"forks":         {act: fork},
		"floods-stderr": {act: func(*exchange) error { return floodStderr(megabytes) }},
	}
}

// leak takes memory until it is stopped.
func leak(x *exchange) error {
	var kept [][]byte
	return x.forever(20*time.Millisecond, func() error {
		block := make([]byte, 16<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1 // a page that is not written to takes no memory
		}
		kept = append(kept, block)
		return nil
	})
}

// fork starts children, who hold its pipes.
func fork(x *exchange) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range 40 {
		child := exec.Command(self, "-sleep")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return err
		}
	}
	return x.ignore()
}

// floodStderr writes so much, and then ends as if nothing were amiss.
func floodStderr(megabytes int) error {
	block := bytes.Repeat([]byte("all work and no play makes a dull log\n"), 1<<20/38)
	for range megabytes {
		if _, err := os.Stderr.Write(block); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}
