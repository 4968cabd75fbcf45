package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mpush/sdk/pluginpb"
)

// strangeKey is in no plugin's section.
const strangeKey = "conformanceUnknownKey"

// mostKeys bounds the keys whose type is tried: each takes a life.
const mostKeys = 12

// configuring are the checks of how the plugin takes its section.
func configuring() []Check {
	return []Check{
		{
			Name:  "config",
			Shows: "The given section fits the schema, and Configure takes it.",
			needs: []string{"describe"},
			run:   takesConfig,
		},
		{
			Name:  "config-unknown-key",
			Shows: "A key that the plugin does not know is refused, by its name: a slip of the operator's does not go unseen.",
			needs: []string{"config"},
			wants: []string{"schema"},
			run:   refusesUnknownKey,
		},
		{
			Name:  "config-wrong-type",
			Shows: "A value of the wrong JSON type is refused with the path of its key.",
			needs: []string{"config"},
			wants: []string{"schema"},
			run:   refusesWrongTypes,
		},
		{
			Name:    "configure-quiet",
			Shows:   "Configure has no effect but remembering: it opens no listener and no file to write. The operator's check runs it beside a relay that serves.",
			needs:   []string{"config"},
			process: true,
			run:     configuresQuietly,
		},
		{
			Name:  "second-instance",
			Shows: "A second instance can be configured while the first one runs.",
			needs: []string{"declare"},
			wants: []string{"commands"},
			run:   configuresBeside,
		},
	}
}

// refusals is the errors among diagnostics.
func refusals(diagnostics []*pluginpb.Diagnostic) error {
	var all []string
	for _, d := range diagnostics {
		if isError(d) {
			all = append(all, strings.TrimPrefix(d.GetPath()+": "+d.GetMessage(), ": "))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("the section is refused by Configure: %s", listed(all))
}

func isError(d *pluginpb.Diagnostic) bool {
	return d.GetSeverity() != pluginpb.Severity_SEVERITY_WARNING && d.GetSeverity() != pluginpb.Severity_SEVERITY_INFO
}

// unfit is what the core finds wrong with a section before Configure: nothing
// if it does not serve the schema, which is the check "schema"'s to tell.
func (k *Kit) unfit(section string) []string {
	text := k.manifest.GetConfigSchema()
	if k.target.Section == nil || len(text) == 0 {
		return nil
	}
	faults, err := k.target.Section(text, []byte(section))
	if err != nil {
		return nil
	}
	return faults
}

func takesConfig(ctx context.Context, k *Kit) error {
	if faults := k.unfit(k.target.Config); len(faults) > 0 {
		return fmt.Errorf("the section is refused by the plugin's own schema, before Configure: %s", listed(faults))
	}
	l, err := k.introduced(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	diagnostics, err := l.configure(ctx, k.target.Config)
	if err != nil {
		return err
	}
	for _, d := range diagnostics {
		if !isError(d) {
			k.note("%s: %s", d.GetPath(), d.GetMessage())
		}
	}
	return refusals(diagnostics)
}

// section is the target's, by keys.
func (k *Kit) section() (map[string]json.RawMessage, error) {
	keys := map[string]json.RawMessage{}
	if strings.TrimSpace(k.target.Config) == "" {
		return keys, nil
	}
	if err := json.Unmarshal([]byte(k.target.Config), &keys); err != nil {
		return nil, skip("the given section is no JSON object")
	}
	return keys, nil
}

// refused tries a section that differs from the target's in one key, in a life of
// its own, and returns the paths of the errors. What the core refuses by the
// schema is refused for that key: the plugin does not see it.
func (k *Kit) refused(ctx context.Context, keys map[string]json.RawMessage, key string) (paths []string, err error) {
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	if len(k.unfit(string(text))) > 0 {
		return []string{key}, nil
	}
	l, err := k.introduced(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	diagnostics, err := l.configure(ctx, string(text))
	if err != nil {
		return nil, fmt.Errorf("a bad section must be answered with diagnostics: %w", err)
	}
	for _, d := range diagnostics {
		if isError(d) {
			paths = append(paths, d.GetPath())
		}
	}
	return paths, nil
}

// rootOf is what a schema says of the section itself.
func rootOf(text []byte) map[string]any {
	var schema map[string]any
	if json.Unmarshal(text, &schema) != nil {
		return nil
	}
	return resolve(schema, schema)
}

// resolve follows a schema's reference to its definitions.
func resolve(root, node map[string]any) map[string]any {
	for range 8 {
		ref, _ := node["$ref"].(string)
		name, ok := strings.CutPrefix(ref, "#/$defs/")
		if !ok {
			return node
		}
		definitions, _ := root["$defs"].(map[string]any)
		if node, ok = definitions[name].(map[string]any); !ok {
			return nil
		}
	}
	return node
}

func refusesUnknownKey(ctx context.Context, k *Kit) error {
	keys, err := k.section()
	if err != nil {
		return err
	}
	keys[strangeKey] = json.RawMessage("true")
	switch rootOf(k.manifest.GetConfigSchema())["additionalProperties"] {
	case false:
		if k.target.Section == nil {
			return nil // the core refuses it
		}
	case true:
		return skip("its schema allows any key")
	}
	paths, err := k.refused(ctx, keys, strangeKey)
	switch {
	case err != nil:
		return err
	case slices.Contains(paths, strangeKey):
		return nil
	case len(paths) > 0:
		return fmt.Errorf("a section with the unknown key %q is refused with the paths %q: the diagnostic's path must be the key", strangeKey, paths)
	default:
		return fmt.Errorf("a section with the unknown key %q is taken: answer Configure with a diagnostic of severity ERROR and the path %q, or give a schema with \"additionalProperties\": false", strangeKey, strangeKey)
	}
}

func refusesWrongTypes(ctx context.Context, k *Kit) error {
	keys, err := k.section()
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return skip("the given section names no key")
	}
	properties, _ := rootOf(k.manifest.GetConfigSchema())["properties"].(map[string]any)
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(keys))[:min(len(keys), mostKeys)] {
		if property, _ := properties[key].(map[string]any); property["type"] != nil {
			continue // the core refuses it
		}
		bad := maps.Clone(keys)
		bad[key] = otherType(keys[key])
		paths, err := k.refused(ctx, bad, key)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(paths, func(path string) bool { return under(path, key) }) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is refused with the paths %q", key, bad[key], paths))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s: answer Configure with a diagnostic of severity ERROR whose path is the key, or give a schema that states its type", listed(wrong))
	}
	return nil
}

// otherType is a value of a type that the given one's key cannot mean, too.
func otherType(value json.RawMessage) json.RawMessage {
	switch strings.TrimSpace(string(value))[0] {
	case '[', '{':
		return json.RawMessage("7")
	default:
		return json.RawMessage(`[[7]]`)
	}
}

// under tells whether a path is a key's, or leads into it.
func under(path, key string) bool {
	rest, ok := strings.CutPrefix(path, key)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func configuresQuietly(ctx context.Context, k *Kit) error {
	l, err := k.introduced(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	before, ok := usageOf(l.inst.pid())
	if !ok {
		return skip("what a process has open shows on Linux only")
	}
	if _, err := l.configure(ctx, k.target.Config); err != nil {
		return err
	}
	after, ok := usageOf(l.inst.pid())
	if !ok {
		return errors.New("the plugin has ended after Configure")
	}
	if news := beyond(after.listening, before.listening); len(news) > 0 {
		return fmt.Errorf("it listens on %s after Configure: listen in Start", listed(news))
	}
	if news := beyond(after.written, before.written); len(news) > 0 {
		return fmt.Errorf("it has %s open for writing after Configure: open files in Declare or Start", listed(news))
	}
	return nil
}

// beyond is what one list has and the other has not.
func beyond(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

func configuresBeside(ctx context.Context, k *Kit) error {
	if _, err := k.live(ctx); err != nil {
		return err
	}
	second, err := k.configured(ctx)
	if err != nil {
		return fmt.Errorf("while another instance runs: %w; Configure must need nothing that the first one holds, such as a port or a lock", err)
	}
	second.close()
	return nil
}
