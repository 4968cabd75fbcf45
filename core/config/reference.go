package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Key is a key in the reference of the configuration. All texts but Doc are of
// the file's own form.
type Key struct {
	Path    string // "limits.ttl", or relative to a plugin's entry
	Type    string
	Unit    string // of a number; "" is none
	Default string // "" is none
	Floor   string // the range beyond which a value is raised or lowered; "" is none
	Example string
	Doc     string // Markdown, one line
}

// Reference describes the relay's own keys, those that something acts upon, in
// the order of the reference.
func Reference() []Key {
	docs := settingDocs()
	var keys []Key
	for _, s := range settings() {
		if !s.served {
			continue
		}
		key := Key{Path: s.path, Type: s.kind.word(), Floor: s.floor(), Doc: docs[s.path].text, Example: docs[s.path].example, Unit: docs[s.path].unit}
		if s.fallback != nil {
			key.Default = written(s.fallback)
		}
		keys = append(keys, key)
	}
	return keys
}

// EntryReference describes the keys of an entry of plugins.
func EntryReference() []Key {
	docs := entryDocs()
	var keys []Key
	for _, k := range pluginKeys() {
		path, within := strings.CutPrefix(k.path, "plugins.*.")
		if doc := docs[path]; within && doc.text != "" {
			keys = append(keys, Key{Path: path, Type: k.kind.word(), Unit: doc.unit, Default: doc.fallback, Floor: doc.floor, Example: doc.example, Doc: doc.text})
		}
	}
	return keys
}

// written is a default as it would stand in the file.
func written(value any) string {
	d, timed := value.(time.Duration)
	switch {
	case timed && d == 0:
		return "0"
	case timed && d%(24*time.Hour) == 0:
		return strconv.Quote(fmt.Sprint(int64(d/(24*time.Hour)), "d"))
	case timed:
		return strconv.Quote(d.String())
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(text), `","`, `", "`)
}

// floor says what inRange does to a value.
func (s setting) floor() string {
	switch {
	case s.kind == duration:
		return "1 s, or 0"
	case s.most > 0:
		return "at most " + strconv.FormatInt(s.most, 10)
	case s.least > 0:
		return strconv.FormatInt(s.least, 10)
	case s.oneOf != nil:
		return strings.Join(s.oneOf, ", ")
	default:
		return ""
	}
}

// word is the kind for the reference.
func (k kind) word() string {
	switch k {
	case text, scalar, file:
		return "text"
	case count:
		return "whole number"
	case flag:
		return "true or false"
	case duration:
		return "time"
	case words:
		return "list of texts"
	case object:
		return "object"
	default:
		return "list or object"
	}
}
