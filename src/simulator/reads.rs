//! Lists, look-ups and cancel.

use serde_json::{Value, json};

use super::machines::FILTERS;
use super::odata::Filter;
use super::reply::{Call, Reply};
use super::token::Caller;
use super::world::World;

/// The properties that a list of machine actions can be filtered by.
const ACTION_FILTERS: &[&str] = &["id", "status", "machineId", "type", "requestor", "creationDateTimeUtc"];

impl World {
    pub(super) fn list_actions(&mut self, call: &Call, now: u64) -> Reply {
        let listed = self.actions.iter().filter(|action| action.listed.is_some_and(|at| at <= now));
        let mut newest_first: Vec<_> = listed.collect();
        newest_first.sort_by_key(|action| std::cmp::Reverse(action.created));
        let values =
            newest_first.into_iter().map(|action| action.json(now, self.start, self.config.old_update_spelling));
        let values = values.collect();
        let reply = self.page(call, "machineactions", ACTION_FILTERS, values);
        if self.config.empty_list_404 && reply.status == 200 && reply.body.contains("\"value\":[]") {
            return self.error(404, "ResourceNotFound", "No machine actions were found.");
        }
        reply
    }

    pub(super) fn list_machines(&mut self, call: &Call) -> Reply {
        let now = jiff::Timestamp::now().to_string();
        let values = self.fleet.all().map(|machine| machine.json(&now)).collect();
        self.page(call, "machines", FILTERS, values)
    }

    /// Filters and cuts a list.
    fn page(&mut self, call: &Call, resource: &str, fields: &[&str], values: Vec<Value>) -> Reply {
        let filter = match call.query("$filter").map(|filter| Filter::parse(filter, fields)).transpose() {
            Ok(filter) => filter,
            Err(message) => return self.error(400, "ODataError", &message),
        };
        let number = |key: &str| call.query(key).map(str::parse::<usize>).transpose();
        let (top, skip) = match (number("$top"), number("$skip")) {
            (Ok(top), Ok(skip)) if top.is_none_or(|top| top <= 10_000) => (top, skip.unwrap_or(0)),
            _ => return self.error(400, "ODataError", "$top and $skip are numbers, $top at most 10000"),
        };
        let size = top.unwrap_or(self.config.default_page_size).min(self.config.max_page_size);
        let matching = |value: &Value| filter.as_ref().is_none_or(|filter| filter.matches(value));
        let mut rest = values.into_iter().filter(matching).skip(skip);
        let page: Vec<Value> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let mut body = json!({
            "@odata.context": format!("https://api.security.microsoft.com/api/$metadata#{resource}"), "value": page
        });
        if self.config.next_link
            && more
            && let Some(object) = body.as_object_mut()
        {
            let mut query: Vec<(String, String)> =
                call.query.iter().filter(|(key, _)| key != "$skip").cloned().collect();
            query.push(("$skip".to_owned(), (skip + size).to_string()));
            // The wild names the global host even when a regional one was called.
            let link = format!("https://other-host.invalid/api/{resource}?{}", super::server::query_text(&query));
            object.insert("@odata.nextLink".to_owned(), json!(link));
        }
        Reply::json(200, &body)
    }

    pub(super) fn get_action(&mut self, id: &str, now: u64) -> Reply {
        match self.actions.iter().find(|action| action.id == id && action.created <= now) {
            Some(action) => Reply::json(200, &action.json(now, self.start, self.config.old_update_spelling)),
            None => self.error(404, "ResourceNotFound", &format!("Machine action {id} was not found")),
        }
    }

    pub(super) fn cancel_action(&mut self, call: &Call, id: &str, caller: &Caller, now: u64) -> Reply {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let Some(comment) = body.get("Comment").and_then(Value::as_str) else {
            return self.error(400, "MissingRequiredParameter", "Parameter Comment is missing");
        };
        let (start, spelling) = (self.start, self.config.old_update_spelling);
        match self.actions.iter_mut().find(|action| action.id == id && action.created <= now) {
            Some(action) if action.is_open(now) => {
                action.cancelled = Some((now, caller.app_id.clone(), comment.to_owned()));
                Reply::json(200, &action.json(now, start, spelling))
            }
            Some(_) => self.error(400, "BadRequest", "The action is in a final state"),
            None => self.error(404, "ResourceNotFound", &format!("Machine action {id} was not found")),
        }
    }

    pub(super) fn get_machine(&mut self, name: &str) -> Reply {
        let machine = self.fleet.by_id(name, &self.config).or_else(|| self.fleet.by_name(name, &self.config));
        match machine {
            Some(machine) => match machine.traits.lookup {
                None => Reply::json(200, &machine.json(&jiff::Timestamp::now().to_string())),
                Some(404) => self.error(404, "ResourceNotFound", &format!("Machine {name} was not found")),
                Some(status) => Reply::html(status),
            },
            None => self.error(404, "ResourceNotFound", &format!("Machine {name} was not found")),
        }
    }
}
