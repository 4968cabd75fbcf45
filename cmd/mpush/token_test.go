package main

import (
	"strings"
	"testing"
	"time"
)

func TestTokenMustLiveForAWhile(t *testing.T) {
	now := time.Now()
	for expires, good := range map[string]bool{
		"90d": true, "1m": true, "": true, "0d": false,
		now.Add(time.Hour).Format(time.RFC3339): true, now.Add(-time.Hour).Format(time.RFC3339): false,
	} {
		f := tokenFlags{rights: []string{"send"}, expires: expires}
		_, err := f.entry("ci", "secret", now)
		if good != (err == nil) || !good && (exitCode(err) != exitUsage || !strings.Contains(err.Error(), "--expires "+expires+": that is over already")) {
			t.Errorf("%q: %v", expires, err)
		}
	}
}
