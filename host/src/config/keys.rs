//! Decides which keys plugins.toml has, in which table, and what reads the value of each.

use plugin_record::Policy;
use toml::de::DeTable;

use super::error::Fault;
use super::section::Section;
use super::{Admin, Config, PluginTable, Plugins, Protocol, Server, Source, json, value};

/// Reads the whole file; also gives what is wrong with it. Where something is, the default stands.
pub(super) fn read(root: &DeTable<'_>) -> (Config, Vec<Fault>) {
    let mut config = Config::default();
    let mut faults = Vec::new();
    let Config {
        server,
        protocol,
        plugins,
        policy,
        admin: Admin { socket },
        plugin,
        source: Source { .. },
    } = &mut config;
    Section::whole(root, &mut faults, |mut root| {
        root.table("server", |section| read_server(section, server));
        root.table("protocol", |mut section| {
            let Protocol { ack } = protocol;
            section.key("ack", ack, value::word);
        });
        root.table("plugins", |section| read_plugins(section, plugins));
        root.table("policy", |section| read_policy(section, policy));
        root.table("admin", |mut section| {
            section.key("socket", socket, value::admin_socket)
        });
        root.table("plugin", |section| {
            section.each_table(value::plugin_name, |name, section| {
                let mut table = PluginTable::default();
                read_plugin(section, &mut table);
                plugin.insert(name.to_owned(), table);
            });
        });
    });
    (config, faults)
}

fn read_server(mut section: Section<'_, '_>, server: &mut Server) {
    let Server {
        listen,
        max_frame,
        max_connections,
        idle_timeout,
        frame_timeout,
        max_unsent,
        write_timeout,
        drain_timeout,
        threads,
    } = server;
    section.key("listen", listen, value::listen);
    section.key("max_frame", max_frame, value::frame_size);
    section.key("max_connections", max_connections, value::at_least_one);
    section.key("idle_timeout", idle_timeout, value::duration);
    section.key("frame_timeout", frame_timeout, value::duration);
    section.key("max_unsent", max_unsent, value::unsent_size);
    section.key("write_timeout", write_timeout, value::duration);
    section.key("drain_timeout", drain_timeout, value::duration);
    section.key("threads", threads, |value| value::threads(value).map(Some));
}

fn read_plugins(mut section: Section<'_, '_>, plugins: &mut Plugins) {
    let Plugins {
        dir,
        create,
        staging,
        watch,
        poll,
        discover,
        init_timeout,
        standby,
        data_dir,
        replace,
    } = plugins;
    section.key("dir", dir, value::path);
    section.key("create", create, value::truth);
    section.key("staging", staging, |value| value::path(value).map(Some));
    section.key("watch", watch, value::truth);
    section.key("poll", poll, value::duration);
    section.key("discover", discover, value::truth);
    section.key("init_timeout", init_timeout, value::duration);
    section.key("standby", standby, value::word);
    section.key("data_dir", data_dir, |value| value::path(value).map(Some));
    section.key("replace", replace, value::word);
}

fn read_policy(mut section: Section<'_, '_>, policy: &mut Policy) {
    let Policy {
        compiler,
        dependencies,
        packages,
    } = policy;
    section.key("compiler", compiler, value::word);
    section.key("dependencies", dependencies, value::word);
    section.table("packages", |section| {
        section.each_key(value::word, |name, package| {
            packages.insert(name.to_owned(), package);
        });
    });
}

fn read_plugin(mut section: Section<'_, '_>, plugin: &mut PluginTable) {
    let PluginTable {
        version,
        commands,
        required,
        enabled,
        config,
    } = plugin;
    section.key("version", version, |value| value::line(value).map(Some));
    section.key("commands", commands, |value| value::commands(value).map(Some));
    section.key("required", required, value::truth);
    section.key("enabled", enabled, value::truth);
    section.key("config", config, json::object);
}
