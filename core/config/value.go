package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// kind is what a known key may hold.
type kind uint8

const (
	anything  kind = iota // any JSON
	text                  // a string
	scalar                // a string, or the JSON text of a number or boolean
	count                 // a whole number from 0: int64
	flag                  // true or false
	duration              // a number of milliseconds, or "7d"
	words                 // an array of strings
	tokenList             // an array of tokens: []Token
	object
	file // a string: a path, from the config file's folder if it is relative
)

// read returns the value of a node as the kind's Go type: string, int64, bool,
// time.Duration, []string, else the node. ok is false after a fault.
func (r *report) read(n *node, path string, k kind) (value any, ok bool) {
	switch {
	case k == anything, k == object && n.kind == '{':
		return n, true
	case (k == text || k == file) && n.kind == '"', k == scalar && n.kind != '{' && n.kind != '[':
		return n.text(), true
	case k == flag && (n.kind == 't' || n.kind == 'f'):
		return n.kind == 't', true
	case k == count && n.kind == '0':
		if number, whole := wholeNumber(n.text()); whole {
			return number, true
		}
	case k == duration && n.kind == '0':
		if ms, whole := wholeNumber(n.text()); whole && ms <= maxDuration.Milliseconds() {
			return time.Duration(ms) * time.Millisecond, true
		}
	case k == duration && n.kind == '"':
		if d, valid := parseDuration(n.text()); valid {
			return d, true
		}
	case k == words && n.kind == '[':
		return r.readWords(n, path)
	case k == tokenList && n.kind == '[':
		return r.readTokens(n, path)
	default:
		r.fault(n.at, path, "expected %s, found %s", k.describe(), n.describe())
		return nil, false
	}
	r.fault(n.at, path, "expected %s", k.describe())
	return nil, false
}

func (r *report) readWords(n *node, path string) (value any, ok bool) {
	list := make([]string, 0, len(n.elements))
	ok = true
	for i, element := range n.elements {
		if element.kind != '"' {
			r.fault(element.at, joinIndex(path, i), "expected a string, found %s", element.describe())
			ok = false
			continue
		}
		list = append(list, element.text())
	}
	return list, ok
}

// wholeNumber reads a JSON number that is a whole number from 0 to 2^53, also
// in the forms 1e6 and 5.0 that other writers of JSON produce.
func wholeNumber(s string) (int64, bool) {
	const most = 1 << 53
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > most || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// fromVariable makes the node of a value that came as plain text, from the
// environment or the command line. problem is "" on success.
func (k kind) fromVariable(s string, at place) (n *node, problem string) {
	switch k {
	case text, scalar, file:
		return stringNode(s, at), ""
	case flag:
		switch strings.ToLower(s) {
		case "true", "1":
			return &node{kind: 't', literal: []byte("true"), at: at}, ""
		case "false", "0":
			return &node{kind: 'f', literal: []byte("false"), at: at}, ""
		}
		return nil, "expected true or false"
	case count:
		if n, _ := jsonVariable(s, at); n != nil && n.kind == '0' {
			return n, ""
		}
		return nil, "expected " + k.describe()
	case duration:
		if n, _ := jsonVariable(s, at); n != nil {
			return n, ""
		}
		return stringNode(s, at), ""
	case words:
		if !strings.HasPrefix(strings.TrimSpace(s), "[") {
			n := &node{kind: '[', at: at}
			for word := range strings.SplitSeq(s, ",") {
				if word = strings.TrimSpace(word); word != "" {
					n.elements = append(n.elements, stringNode(word, at))
				}
			}
			return n, ""
		}
		fallthrough
	case object:
		n, problem := jsonVariable(s, at)
		if problem != "" {
			return nil, "expected " + k.describe() + ": " + problem
		}
		return n, ""
	default:
		if n, _ := jsonVariable(s, at); n != nil {
			return n, ""
		}
		return stringNode(s, at), ""
	}
}

// jsonVariable reads text as JSON; every part of it comes from at.
func jsonVariable(s string, at place) (n *node, problem string) {
	value, _, problem := parse([]byte(s))
	if problem != "" {
		return nil, problem
	}
	n = newTree(value, at.origin, func(path string, _, _ place) {
		problem = "the key " + path + " is given twice"
	})
	if problem != "" {
		return nil, problem
	}
	return n, ""
}

func (k kind) describe() string {
	switch k {
	case text, scalar, file:
		return "a string"
	case count:
		return "a whole number from 0"
	case flag:
		return "true or false"
	case duration:
		return `a whole number of milliseconds, or a time like "30m", "12h" or "7d"`
	case words:
		return "an array of strings"
	case object:
		return "an object"
	case tokenList:
		return "an array of objects"
	default:
		return "a value"
	}
}
