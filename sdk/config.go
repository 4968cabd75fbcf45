package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"mpush/sdk/pluginpb"
)

// Config is the operator's configuration of this channel. It belongs to the
// goroutine that Configure or Validate is called in.
type Config struct {
	// Channel is the name that the operator gave this channel.
	Channel string
	// WeakToken: the relay's token is empty or well known. Listen on loopback
	// only unless the section names an address.
	WeakToken bool
	// MasterToken is the relay's token, with that right; else "".
	MasterToken string
	// TrustedProxies are the reverse proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	section  []byte
	warnings []Invalidity
}

// NewConfig makes a Config by hand, for tests of a Configurer. section is the
// operator's section, JSON; empty for none.
func NewConfig(channel string, section []byte) *Config {
	return &Config{Channel: channel, section: section}
}

// Decode reads the section into the struct that into points to, by its json
// tags. What the section does not name, or names with null, keeps the value
// that it has: set the defaults before. A time.Duration is a whole number of
// milliseconds from 0 up in the section. Types that unmarshal themselves from JSON or
// text are asked to; everything else must be of the exact type, in range, and
// known. What the fields' jsonschema tags demand (see Configurable) must hold.
// The errors are Invalidity values, joined, each with its key path.
func (c *Config) Decode(into any) error {
	if len(bytes.TrimSpace(c.section)) == 0 {
		return nil
	}
	reader := json.NewDecoder(bytes.NewReader(c.section))
	reader.UseNumber()
	var section any
	if err := reader.Decode(&section); err != nil {
		return Invalid("", "not JSON: %v", err)
	}
	if _, err := reader.Token(); err != io.EOF {
		return Invalid("", "more than one JSON value")
	}
	if section == nil {
		return nil
	}
	if _, ok := section.(map[string]any); !ok {
		return Invalid("", "%s", expected("an object", section))
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      into,
		RootName:    sectionName,
		TagName:     "json",
		ErrorUnused: true,
		Squash:      true,
		DecodeHook:  mapstructure.DecodeHookFuncValue(decodeValue),
		MatchName:   func(key, field string) bool { return key == field },
		// A field without a tag is known by its name, in the file's manner.
		MapFieldName: fieldKey,
	})
	if err != nil {
		return fmt.Errorf("decode the section of %q: %w", c.Channel, err)
	}
	var faults []error
	collectFaults(decoder.Decode(section), &faults)
	if schema, err := reflectSchema(into); err == nil {
		faults = append(faults, demands(schema, section, faults)...)
	}
	slices.SortStableFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

const (
	// sectionName begins the paths that mapstructure gives.
	sectionName = "section"
	// unknownKeys begins its list of keys without a field.
	unknownKeys = "has invalid keys: "
)

// collectFaults turns mapstructure's tree of errors into Invalidity values.
func collectFaults(err error, faults *[]error) {
	if err == nil {
		return
	}
	if at, ok := err.(*mapstructure.DecodeError); ok {
		path := strings.TrimPrefix(strings.TrimPrefix(at.Name(), sectionName), ".")
		if inner, ok := at.Unwrap().(*Invalidity); ok {
			*faults = append(*faults, Invalid(path+inner.Path, "%s", inner.Message))
			return
		}
		keys, unknown := strings.CutPrefix(at.Unwrap().Error(), unknownKeys)
		if !unknown {
			*faults = append(*faults, Invalid(path, "%v", at.Unwrap()))
			return
		}
		if path != "" {
			path += "."
		}
		for key := range strings.SplitSeq(keys, ", ") {
			*faults = append(*faults, Invalid(path+key, "unknown key"))
		}
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			collectFaults(e, faults)
		}
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		collectFaults(inner, faults)
		return
	}
	*faults = append(*faults, Invalid("", "%v", err))
}

// Warn notes something about the configuration that is remarkable, but no
// error. path is the key within the section.
func (c *Config) Warn(path, format string, args ...any) {
	c.warnings = append(c.warnings, Invalidity{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *Config) remarks() []*pluginpb.Diagnostic {
	var found []*pluginpb.Diagnostic
	for _, w := range c.warnings {
		found = append(found, diagnostic(pluginpb.Severity_SEVERITY_WARNING, w.Path, w.Message))
	}
	return found
}

// diagnostics are the faults that err consists of.
func diagnostics(err error) []*pluginpb.Diagnostic {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var found []*pluginpb.Diagnostic
		for _, e := range joined.Unwrap() {
			found = append(found, diagnostics(e)...)
		}
		return found
	}
	if fault, ok := err.(*Invalidity); ok {
		return []*pluginpb.Diagnostic{diagnostic(pluginpb.Severity_SEVERITY_ERROR, fault.Path, fault.Message)}
	}
	// What wraps faults adds less than their paths tell.
	if _, ok := errors.AsType[*Invalidity](err); ok {
		return diagnostics(errors.Unwrap(err))
	}
	return []*pluginpb.Diagnostic{diagnostic(pluginpb.Severity_SEVERITY_ERROR, "", err.Error())}
}

func diagnostic(severity pluginpb.Severity, path, message string) *pluginpb.Diagnostic {
	return &pluginpb.Diagnostic{
		Severity: severity,
		Path:     clip(path, maxErrorBytes),
		Message:  clip(message, maxErrorBytes),
	}
}
