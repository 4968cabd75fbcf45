package golden

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mpush/sdk/pluginpb"
)

// incidental are fields that differ from run to run, or that are a channel's own
// affair. They count only where a file names them.
func incidental() []string {
	return []string{"requestId", "id", "remote", "policy", "generation", "address", "error"}
}

// compareEnvelope tells whether the channel asked what the file says.
func compareEnvelope(want string, e *pluginpb.PluginEnvelope) error {
	text, err := protojson.Marshal(e)
	if err != nil {
		return err
	}
	got, err := decode(string(text))
	if err != nil {
		return err
	}
	show(got, e.ProtoReflect().Descriptor())
	wanted, err := decode(want)
	if err != nil {
		return fmt.Errorf("the golden text is no JSON: %w\n%s", err, want)
	}
	forget(got, wanted)
	shown, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return Same(want, string(shown))
}

// coreEnvelope reads what the core says.
func coreEnvelope(text string) (*pluginpb.CoreEnvelope, error) {
	value, err := decode(text)
	if err != nil {
		return nil, err
	}
	e := new(pluginpb.CoreEnvelope)
	hide(value, e.ProtoReflect().Descriptor())
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return e, protojson.Unmarshal(encoded, e)
}

// bodyName is the name of an envelope's body, "publish".
func bodyName(e proto.Message) string {
	m := e.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("body"))
	if field == nil {
		return ""
	}
	return field.JSONName()
}

// show replaces bytes, which protobuf's JSON form has in base64, by the JSON
// that they are, or by their text.
func show(value any, d protoreflect.MessageDescriptor) {
	eachBytes(value, d, func(encoded any) any {
		text, err := base64.StdEncoding.DecodeString(fmt.Sprint(encoded))
		if err != nil {
			return encoded
		}
		if plain, err := decode(string(text)); err == nil {
			return plain
		}
		return string(text)
	})
}

// hide is the reverse of show.
func hide(value any, d protoreflect.MessageDescriptor) {
	eachBytes(value, d, func(plain any) any {
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if encoder.Encode(plain) != nil {
			return plain
		}
		return base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(text.String(), "\n")))
	})
}

// eachBytes replaces the values of all bytes fields of a message in JSON form.
func eachBytes(value any, d protoreflect.MessageDescriptor, replace func(any) any) {
	members, _ := value.(map[string]any)
	for name, member := range members {
		field := d.Fields().ByJSONName(name)
		switch {
		case field == nil:
		case field.IsMap():
			if entries, ok := member.(map[string]any); ok && field.MapValue().Kind() == protoreflect.BytesKind {
				for key, entry := range entries {
					entries[key] = replace(entry)
				}
			}
		case field.Kind() == protoreflect.BytesKind:
			members[name] = replace(member)
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			list, _ := member.([]any)
			for _, item := range list {
				eachBytes(item, field.Message(), replace)
			}
		case field.Kind() == protoreflect.MessageKind:
			eachBytes(member, field.Message(), replace)
		}
	}
}

// forget takes from got the incidental fields that want does not name.
func forget(got, want any) {
	members, _ := got.(map[string]any)
	wanted, _ := want.(map[string]any)
	for _, name := range incidental() {
		_, named := wanted[name]
		// An error with a code is for a client.
		_, coded := members[name].(map[string]any)
		if !named && !(coded && name == "error") {
			delete(members, name)
		}
	}
	for name, member := range members {
		// What a client has sent is no field of ours.
		if name == "data" || name == "extra" {
			continue
		}
		forget(member, wanted[name])
		// Credentials without anything in them are none.
		if rest, ok := member.(map[string]any); ok && len(rest) == 0 && name == "credentials" && wanted[name] == nil {
			delete(members, name)
		}
	}
}
