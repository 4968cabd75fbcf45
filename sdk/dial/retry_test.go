package dial_test

import (
	"net/http"
	"testing"
	"time"

	"mpush/sdk/dial"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2020, time.August, 4, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, test := range []struct {
		value string
		after time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"120", 2 * time.Minute, true},
		{" 7 ", 7 * time.Second, true},
		{"86400", day, true},
		{"86401", day, true},
		{"9223372036854775807", day, true},
		{"99999999999999999999999999", day, true},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"Tue, 04 Aug 2020 12:01:30 GMT", 90 * time.Second, true},
		{"Tuesday, 04-Aug-20 12:01:30 GMT", 90 * time.Second, true}, // RFC 850
		{"Tue Aug  4 12:01:30 2020", 90 * time.Second, true},        // asctime
		{"Tue, 04 Aug 2020 11:00:00 GMT", 0, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", day, true},
		{"Mon, 01 Jan 0001 00:00:00 GMT", 0, true},
	} {
		after, ok := dial.RetryAfter(http.Header{"Retry-After": {test.value}}, now)
		if after != test.after || ok != test.ok {
			t.Errorf("%q: %v, %v\nwant %v, %v", test.value, after, ok, test.after, test.ok)
		}
	}
	if _, ok := dial.RetryAfter(http.Header{}, now); ok {
		t.Error("no header, yet an answer")
	}
}
