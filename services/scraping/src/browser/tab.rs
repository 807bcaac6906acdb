//! One tab, in a context of its own: nothing of one page (cookies, cache, passwords) is there for
//! the next. Opened for one page and closed with it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cdp::{Error, Event, Listener};
use super::proxy::Account;
use super::session::Session;

/// Peer-to-peer connections go past every proxy: no page needs them to be read.
const NO_WEBRTC: &str = "delete self.RTCPeerConnection; delete self.webkitRTCPeerConnection; delete self.RTCDataChannel;";

#[derive(Debug)]
pub(super) struct Tab {
    pub(super) session: Arc<Session>,
    pub(super) account: Account,
    pub(super) events: mpsc::Receiver<Event>,
    listener: Listener,
    context: String,
    target: String,
    id: String,
    pub(super) frame: String,
    is_closed: bool,
}

/// What the page shows at one moment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct State {
    pub(super) ready: String,
    pub(super) nodes: usize,
    pub(super) chars: usize,
    /// `None` when the selector is none.
    pub(super) found: Option<bool>,
}

impl Tab {
    pub(super) async fn open(
        session: Arc<Session>,
        account: Account,
        proxy: &str,
        user_agent: &str,
    ) -> Result<Self, Error> {
        let connection = &session.connection;
        let params = json!({
            "disposeOnDetach": true,
            "proxyServer": format!("http://{proxy}"),
            "proxyBypassList": "<-loopback>",
        });
        let context = connection
            .call(None, "Target.createBrowserContext", params)
            .await?;
        let (mut listener, events) = connection.listen();
        let mut tab = Self {
            context: text(&context["browserContextId"]),
            session: Arc::clone(&session),
            account,
            events,
            target: String::new(),
            id: String::new(),
            frame: String::new(),
            is_closed: false,
            listener: {
                listener.add(&text(&context["browserContextId"]));
                listener
            },
        };
        tab.prepare(user_agent).await?;
        Ok(tab)
    }

    async fn prepare(&mut self, user_agent: &str) -> Result<(), Error> {
        let session = Arc::clone(&self.session);
        let connection = &session.connection;
        let params = json!({"url": "about:blank", "browserContextId": self.context});
        let target = connection.call(None, "Target.createTarget", params).await?;
        self.target = text(&target["targetId"]);
        let params = json!({"targetId": self.target, "flatten": true});
        let attached = connection
            .call(None, "Target.attachToTarget", params)
            .await?;
        self.id = text(&attached["sessionId"]);
        self.listener.add(&self.id);
        let downloads = json!({"behavior": "deny", "browserContextId": self.context});
        connection
            .call(None, "Browser.setDownloadBehavior", downloads)
            .await?;
        let intercepted = json!({"handleAuthRequests": true, "patterns": [{"urlPattern": "*"}]});
        let commands = [
            ("Fetch.enable", intercepted),
            ("Network.enable", json!({})),
            ("Page.enable", json!({})),
            ("Network.setBypassServiceWorker", json!({"bypass": true})),
            (
                "Network.setUserAgentOverride",
                json!({"userAgent": user_agent}),
            ),
            (
                "Page.addScriptToEvaluateOnNewDocument",
                json!({"source": NO_WEBRTC}),
            ),
        ];
        for (method, params) in commands {
            self.call(method, params).await?;
        }
        let tree = self.call("Page.getFrameTree", json!({})).await?;
        self.frame = text(&tree["frameTree"]["frame"]["id"]);
        Ok(())
    }

    pub(super) async fn call(&self, method: &'static str, params: Value) -> Result<Value, Error> {
        let connection = &self.session.connection;
        connection.call(Some(&self.id), method, params).await
    }

    pub(super) fn session_id(&self) -> &str {
        &self.id
    }

    pub(super) async fn close_window(&self, target: &str) {
        if target != self.target {
            let params = json!({"targetId": target});
            let connection = &self.session.connection;
            // It may be gone already; its context ends in any case.
            let _ = connection.call(None, "Target.closeTarget", params).await;
        }
    }

    /// `Ok(None)` while one document gives way to the next.
    pub(super) async fn state(&self, selector: Option<&str>) -> Result<Option<State>, Error> {
        let selector = json!(selector);
        let script = format!(
            "(s => {{ const d = document.documentElement; \
             let found = s === null ? true : null; \
             try {{ found = s === null || document.querySelector(s) !== null }} catch {{}} \
             return {{ready: document.readyState, \
             nodes: document.getElementsByTagName('*').length, \
             chars: d ? d.textContent.length : 0, found}} }})({selector})"
        );
        let value = self.evaluate(&script).await?;
        Ok(value.and_then(|value| serde_json::from_value(value).ok()))
    }

    /// The HTML with a doctype, or its size in UTF-16 units where that exceeds the limit.
    pub(super) async fn html(&self, max: usize) -> Result<Result<String, u64>, Error> {
        let script = format!(
            "(() => {{ const h = document.documentElement.outerHTML; \
             return h.length > {max} ? h.length : h }})()"
        );
        match self.evaluate(&script).await? {
            Some(Value::String(html)) => Ok(Ok(format!("<!doctype html>\n{html}"))),
            Some(Value::Number(length)) => Ok(Err(length.as_u64().unwrap_or(u64::MAX))),
            _ => Ok(Ok(String::new())),
        }
    }

    /// In a world of our own: the page's scripts cannot replace what we call.
    async fn evaluate(&self, script: &str) -> Result<Option<Value>, Error> {
        let world = json!({"frameId": self.frame, "worldName": "flotilla"});
        let world = match self.call("Page.createIsolatedWorld", world).await {
            Ok(world) => world,
            Err(Error::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let params = json!({
            "expression": script,
            "contextId": world["executionContextId"],
            "returnByValue": true,
        });
        match self.call("Runtime.evaluate", params).await {
            Ok(mut evaluated) => Ok(Some(evaluated["result"]["value"].take())),
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends every page of the context, one that hangs as well.
    pub(super) async fn close(mut self) -> Result<(), Error> {
        self.is_closed = true;
        let closed = dispose(&self.session, &self.context);
        closed.await.map(|_| ())
    }
}

/// The task that it was for may end at any await: its page must not outlive it.
impl Drop for Tab {
    fn drop(&mut self) {
        if self.is_closed || self.session.connection.is_closed() {
            return;
        }
        let (session, context) = (Arc::clone(&self.session), std::mem::take(&mut self.context));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { dispose(&session, &context).await.map(|_| ()) });
        }
    }
}

async fn dispose(session: &Session, context: &str) -> Result<Value, Error> {
    let params = json!({"browserContextId": context});
    let connection = &session.connection;
    connection
        .call(None, "Target.disposeBrowserContext", params)
        .await
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
