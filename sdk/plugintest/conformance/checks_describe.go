package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// Bounds of a manifest.
const (
	mostCommands     = 64
	mostCommandBytes = 64
	mostExplained    = 64
	mostSchemaBytes  = 256 << 10
)

// describing are the checks of what the plugin says of itself.
func describing() []Check {
	return []Check{
		{
			Name:    "handshake",
			Shows:   "The process starts, prints the handshake line on stdout, and can be connected to as the core does it: gRPC, with mTLS unless that is switched off.",
			process: true,
			run:     shakesHands,
		},
		{
			Name:  "describe",
			Shows: "Describe names the plugin and the protocol, and all that it says is within bounds.",
			wants: []string{"handshake"},
			run:   describes,
		},
		{
			Name:  "describe-again",
			Shows: "Describe says the same whenever it is asked: twice, after Configure, and in another life.",
			needs: []string{"describe"},
			run:   describesAgain,
		},
		{
			Name:  "schema",
			Shows: "The config schema, if the plugin has one, is a JSON Schema that refers to nothing outside of itself, and that the core serves.",
			needs: []string{"describe"},
			run:   hasSchema,
		},
	}
}

func shakesHands(ctx context.Context, k *Kit) error {
	inst, err := k.launch(ctx)
	if err != nil {
		return err
	}
	k.spare = inst
	if _, before := inst.shaken(); len(before) > 0 {
		k.note("stdout before the handshake: %s (the core takes it for output; other hosts may not)", listed(before))
	}
	return nil
}

func describes(ctx context.Context, k *Kit) error {
	l, err := k.introduced(ctx)
	if err != nil {
		return err
	}
	l.cancel()
	k.spare = l.inst
	m := l.manifest
	var wrong []string
	fault := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	spoken := pluginpb.Spoken(pluginpb.ProtocolVersion)
	fault(!spoken.Has(m.GetProtocol()), "protocol is %d: say %v", m.GetProtocol(), spoken)
	fault(m.GetName() == "", "name is empty: say what the plugin is called")
	fault(m.GetVersion() == "", "version is empty: say which one it is, operators ask")
	fault(len(m.GetCommands()) > mostCommands, "%d commands: claim %d at most", len(m.GetCommands()), mostCommands)
	seen := map[string]bool{}
	for _, c := range m.GetCommands() {
		fault(c == "" || len(c) > mostCommandBytes, "the command %q has %d bytes: 1 to %d are allowed", c, len(c), mostCommandBytes)
		fault(slices.Contains([]string{"AUTH", "MESSAGE", "MESSAGE_CALLBACK", "UNREGISTER"}, c), "the command %s is the core's own: claim another", c)
		fault(seen[c], "the command %s is claimed twice", c)
		seen[c] = true
	}
	for _, r := range m.GetRights() {
		_, known := pluginpb.Right_name[int32(r)]
		fault(!known || r == pluginpb.Right_RIGHT_UNSPECIFIED, "right %d is none of protocol 1", r)
	}
	for _, r := range m.GetRoles() {
		_, known := pluginpb.Role_name[int32(r)]
		fault(!known || r == pluginpb.Role_ROLE_UNSPECIFIED, "role %d is none of protocol 1", r)
	}
	for what, all := range map[string][]*pluginpb.Explained{"statuses": m.GetStatuses(), "command_help": m.GetCommandHelp()} {
		fault(len(all) > mostExplained, "%d %s: %d at most", len(all), what, mostExplained)
		for _, e := range all {
			fault(e.GetWord() == "" || e.GetMeaning() == "", "%s: %q needs a word and its meaning", what, e.GetWord())
		}
	}
	fault(len(m.GetFeatures()) > 0, "features %q: use those only that the core offers, and the kit offers none", m.GetFeatures())
	if len(wrong) > 0 {
		return errors.New(listed(wrong))
	}
	k.note("%s %s", m.GetName(), m.GetVersion())
	return nil
}

func describesAgain(ctx context.Context, k *Kit) error {
	first, err := k.introduced(ctx)
	if err != nil {
		return err
	}
	defer first.close()
	again, err := first.describe(ctx)
	if err != nil {
		return fmt.Errorf("asked again: %w", err)
	}
	if !proto.Equal(first.manifest, again) {
		return fmt.Errorf("the second answer differs from the first: %s", differs(first.manifest, again))
	}
	if _, err := first.configure(ctx, k.target.Config); err != nil {
		return err
	}
	if again, err = first.describe(ctx); err != nil {
		return fmt.Errorf("asked after Configure: %w", err)
	}
	if !proto.Equal(first.manifest, again) {
		return fmt.Errorf("the answer after Configure differs from the first: %s", differs(first.manifest, again))
	}
	other, err := k.introduced(ctx)
	if err != nil {
		return fmt.Errorf("in another life: %w", err)
	}
	defer other.close()
	if !proto.Equal(first.manifest, other.manifest) {
		return fmt.Errorf("another life answers differently: %s", differs(first.manifest, other.manifest))
	}
	return nil
}

// differs names the first field in which two manifests differ.
func differs(a, b *pluginpb.DescribeResponse) string {
	fields := a.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if x, y := a.ProtoReflect().Get(f), b.ProtoReflect().Get(f); !x.Equal(y) {
			return fmt.Sprintf("%s is %v, then %v; return fixed facts", f.Name(), x, y)
		}
	}
	return "return fixed facts"
}

func hasSchema(_ context.Context, k *Kit) error {
	text := k.manifest.GetConfigSchema()
	if len(text) == 0 {
		return skip("it has none: Configure alone judges the section")
	}
	if len(text) > mostSchemaBytes {
		return fmt.Errorf("it has %d bytes: %d at most", len(text), mostSchemaBytes)
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		return fmt.Errorf("config_schema is not JSON: %w", err)
	}
	if _, ok := schema.(map[string]any); !ok {
		return errors.New("config_schema is no JSON object")
	}
	if ref := outsideRef(schema); ref != "" {
		return fmt.Errorf("config_schema refers to %q: the core fetches nothing, refer to #/$defs alone", ref)
	}
	if k.target.Section == nil {
		k.note("it was not compiled: mpush plugin test does that")
		return nil
	}
	if _, err := k.target.Section(text, nil); err != nil {
		return fmt.Errorf("config_schema is not served by the core, which would not start the plugin: %w", err)
	}
	return nil
}

// outsideRef finds a reference that leads out of a schema, "" if none does.
func outsideRef(node any) string {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			text, ok := value.(string)
			if (key == "$ref" || key == "$dynamicRef") && ok && !strings.HasPrefix(text, "#") {
				return text
			}
			if ref := outsideRef(value); ref != "" {
				return ref
			}
		}
	case []any:
		for _, value := range node {
			if ref := outsideRef(value); ref != "" {
				return ref
			}
		}
	}
	return ""
}
