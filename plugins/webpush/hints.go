package webpush

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	webpushgo "github.com/SherClockHolmes/webpush-go"

	"mpush/sdk"
)

// hints are a message's wishes for the push service (RFC 8030, section 5).
type hints struct {
	urgency webpushgo.Urgency
	topic   string // a later message with the same one replaces it; "" is none
	ttl     int    // how long the push service may keep it, in seconds
}

// maxTopicBytes bounds a topic (RFC 8030, section 5.4).
const maxTopicBytes = 32

const topicAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// hintsOf reads urgency, topic and ttl from a message's extra. What is not valid
// there is ignored: it may mean something else to the receiver. most is the
// longest ttl.
func hintsOf(m *sdk.Message, most int, now time.Time) hints {
	h := hints{urgency: webpushgo.UrgencyHigh, ttl: most}
	if !bytes.Contains(m.Extra, []byte(`"urgency"`)) && !bytes.Contains(m.Extra, []byte(`"topic"`)) && !bytes.Contains(m.Extra, []byte(`"ttl"`)) {
		return h
	}
	fields, err := objectOf("extra", m.Extra)
	if err != nil {
		return h
	}
	switch urgency := webpushgo.Urgency(textIn(fields["urgency"])); urgency {
	case webpushgo.UrgencyVeryLow, webpushgo.UrgencyLow, webpushgo.UrgencyNormal, webpushgo.UrgencyHigh:
		h.urgency = urgency
	}
	if topic := textIn(fields["topic"]); len(topic) <= maxTopicBytes && strings.Trim(topic, topicAlphabet) == "" {
		h.topic = topic
	}
	if given := timeIn(fields["ttl"]); given > 0 {
		// A mid is the time at which the message was accepted.
		left := given - max(now.Sub(time.UnixMilli(m.MID)), 0)
		if left <= 0 {
			left = given // the operator has replayed it
		}
		h.ttl = min(most, int((left+time.Second-1)/time.Second))
	}
	return h
}

// textIn returns a string's content, "" for any other value.
func textIn(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// maxTime is the longest that a sender's time is looked at: the core's.
const maxTime = 100 * 365 * 24 * time.Hour

// timeIn returns a time in whole seconds, a number or digits, as the core reads
// it for the queue; 0 for any other value.
func timeIn(raw json.RawMessage) time.Duration {
	text := textIn(raw)
	var number float64
	if json.Unmarshal(raw, &number) == nil {
		text = strconv.FormatFloat(number, 'f', -1, 64)
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > int64(maxTime/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
