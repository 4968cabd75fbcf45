package sdk

import "mpush/sdk/pluginpb"

// describe is what a plugin says of itself, with what shows without its saying.
func describe(p Plugin, schema []byte) *pluginpb.DescribeResponse {
	m := p.Describe()
	if len(m.Roles) == 0 {
		m.Roles = rolesOf(p)
	}
	return &pluginpb.DescribeResponse{
		Name:         m.Name,
		Version:      m.Version,
		Description:  m.Description,
		Commands:     m.Commands,
		Rights:       m.Rights,
		ConfigSchema: schema,
		Roles:        m.Roles,
		Statuses:     explain(m.Statuses),
		CommandHelp:  explain(m.CommandHelp),
		Sdk:          "mpush-go " + Version,
	}
}

// rolesOf tells the roles that the plugin's interfaces show. A plugin of both
// has to name them: its Start may open what it delivers with.
func rolesOf(p Plugin) []Role {
	switch p.(type) {
	case Egress, BatchEgress, Dispatcher:
		return []Role{RoleEgress}
	case Starter:
		return []Role{RoleIngress}
	default:
		return nil
	}
}

func explain(words []Explained) []*pluginpb.Explained {
	var all []*pluginpb.Explained
	for _, w := range words {
		all = append(all, &pluginpb.Explained{Word: w.Word, Meaning: w.Meaning})
	}
	return all
}
