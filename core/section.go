package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mpush/core/config"
	"mpush/core/schema"
	"mpush/sdk/pluginpb"
)

// sectionFaults are those of a channel's section by its plugin's own schema.
type sectionFaults []config.Fault

// Error names the first and how many there are: all are told by their places.
func (f sectionFaults) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	return fmt.Sprintf("%v (and %d more)", f[0], len(f)-1)
}

// CheckSection checks a channel's section, "" or JSON, with its plugin's schema as
// a start does, for who tests a plugin. The faults are the section's; the error
// says what about the schema is not served.
func CheckSection(schemaText, section []byte) (faults []string, err error) {
	compiled, err := schema.Compile(schemaText)
	if err != nil {
		return nil, err
	}
	for _, f := range compiled.Check(section, config.UnknownKey) {
		faults = append(faults, strings.TrimPrefix(f.Path+": "+f.Message, ": "))
	}
	return faults, nil
}

// judge checks a section with the schema that the plugin tells, if it does, and
// remembers what in it is secret, before the plugin has it. The error is what is
// wrong, a sectionFaults if the section is.
func (p plan) judge(cfg *config.Config, manifest *pluginpb.DescribeResponse, hidden *secrets) error {
	text := manifest.GetConfigSchema()
	if len(text) == 0 {
		return nil
	}
	compiled, err := schema.Compile(text)
	if err != nil {
		return fmt.Errorf("the plugin's schema of its configuration is not served, which its author has to mend: %w", err)
	}
	section := p.request.GetConfig()
	hidden.add(compiled.Secrets(section))
	var faults sectionFaults
	for _, f := range compiled.Check(section, config.UnknownKey) {
		faults = append(faults, cfg.Fault(p.spec.Channel, f.Path, f.Message))
	}
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b config.Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return faults
}
