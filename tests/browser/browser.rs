//! Chromium through `chromedriver`, for the duration of a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::support::harness::DEADLINE;
use crate::support::port::Port;

/// Settings of a person's browser.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub scripts: bool,
    /// As in `Accept-Language`.
    pub languages: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            scripts: true,
            languages: "en",
        }
    }
}

pub struct Browser {
    client: Client,
    /// Dropped last; ends Chromium as well.
    _driver: Driver,
}

impl Browser {
    pub async fn start(setup: Setup) -> Self {
        let mut driver = Driver::start();
        let timeout = DEADLINE.as_millis();
        let capabilities = json!({
            "browserName": "chrome",
            // Commands wait for elements and pages; scripts may take time.
            "timeouts": { "implicit": timeout, "pageLoad": timeout, "script": timeout },
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                // chromedriver waits a minute for Chromium by default.
                "browserStartupTimeout": timeout,
                "args": [
                    "--headless=new",
                    // Tests may run as root, and in containers with little shared memory.
                    "--no-sandbox",
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--force-color-profile=srgb",
                    "--window-size=1280,900",
                    // Only the pages under test are reachable; other requests appear in the log.
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                ],
                "prefs": {
                    "intl.accept_languages": setup.languages,
                    "profile.managed_default_content_settings.javascript":
                        if setup.scripts { 1 } else { 2 },
                    // A password prompt would take the focus.
                    "credentials_enable_service": false,
                },
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("an object was written")
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", driver.port.address))
            .await
            .expect("Chromium starts (Debian's packages chromium and chromium-driver)");
        driver.session = client.session_id().await.expect("a session");
        Self {
            client,
            _driver: driver,
        }
    }

    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.expect(address);
    }

    pub async fn back(&self) {
        self.client.back().await.expect("back");
    }

    pub async fn title(&self) -> String {
        self.client.title().await.expect("a title")
    }

    /// The URL of the page, without the fragment.
    pub async fn place(&self) -> Url {
        self.client.current_url().await.expect("an address")
    }

    pub async fn find(&self, css: &str) -> Element {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}\non the page:\n{}", self.text().await),
        }
    }

    pub async fn find_all(&self, css: &str) -> Vec<Element> {
        let found = self.client.find_all(Locator::Css(css)).await;
        found.expect("a list of elements")
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("an empty field");
        field.send_keys(text).await.expect("typed");
    }

    /// Clicks an element. If its page was just replaced, the element is looked up again.
    pub async fn press(&self, css: &str) {
        while let Err(error) = self.find(css).await.click().await {
            assert!(error.is_stale_element_reference(), "{css}: {error}");
        }
    }

    /// Clicks an element that leads to another page, and waits for that page.
    pub async fn follow(&self, css: &str) {
        self.run("window.isLeft = true").await;
        self.press(css).await;
        self.until("return !window.isLeft && document.readyState === 'complete'")
            .await;
    }

    /// Sends keys to the focused element.
    pub async fn keys(&self, keys: &str) {
        let focused = self.focused().await;
        focused.send_keys(keys).await.expect("typed");
    }

    pub async fn focused(&self) -> Element {
        let focused = self.client.active_element().await;
        focused.expect("something has the focus")
    }

    /// The visible text; empty while one page is replaced by the next.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The text in the page's only frame.
    pub async fn text_in_frame(&self) -> String {
        self.client.enter_frame(0).await.expect("a frame");
        let text = self.text().await;
        let back = self.client.enter_parent_frame().await;
        back.expect("the page around it");
        text
    }

    /// Waits until the page shows the text.
    pub async fn see(&self, words: &str) {
        let begin = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(
                begin.elapsed() < DEADLINE,
                "waited in vain for {words:?} at {}:\n{text}",
                self.place().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a function body in the page and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        let ran = self.client.execute(script, Vec::new()).await;
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until the function body returns true, even in a page that replaces this one.
    pub async fn until(&self, script: &str) {
        let begin = Instant::now();
        loop {
            let answer = self.client.execute(script, Vec::new()).await;
            if matches!(answer, Ok(Value::Bool(true))) {
                return;
            }
            assert!(
                begin.elapsed() < DEADLINE,
                "waited in vain for {script}: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a function body that calls its last argument when it is done.
    pub async fn run_on(&self, script: &str, with: Vec<Value>) -> Value {
        let ran = self.client.execute_async(script, with).await;
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script before anything else in every page from now on.
    pub async fn run_first(&self, source: &str) {
        let source = json!({ "source": source });
        self.tell("Page.addScriptToEvaluateOnNewDocument", source)
            .await;
    }

    /// Sets the width of the window, and the light or dark colour scheme.
    pub async fn dress(&self, width: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let media = json!({ "features": [feature] });
        self.tell("Emulation.setEmulatedMedia", media).await;
    }

    /// The whole page as PNG, including the part outside the window.
    pub async fn picture(&self) -> Vec<u8> {
        let metrics = self.tell("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        // Captures beyond the window only if the page extends there: otherwise a right-to-left page is shifted in
        // its picture.
        let extends = |side: &str, window: &str| {
            size[side].as_f64() > metrics["cssLayoutViewport"][window].as_f64()
        };
        let how = json!({
            "format": "png",
            "captureBeyondViewport": extends("width", "clientWidth") || extends("height", "clientHeight"),
            "clip": { "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 },
        });
        let shot = self.tell("Page.captureScreenshot", how).await;
        let data = shot["data"].as_str().expect("a picture");
        STANDARD.decode(data).expect("base64")
    }

    pub async fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        cookies
            .iter()
            .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
            .collect()
    }

    /// The URLs that were requested since the last call.
    pub async fn requested(&self) -> Vec<String> {
        self.log("performance")
            .await
            .iter()
            .filter_map(|entry| {
                let text = entry["message"].as_str()?;
                let event: Value = serde_json::from_str(text).ok()?;
                let event = &event["message"];
                (event["method"] == "Network.requestWillBeSent").then(|| {
                    event["params"]["request"]["url"]
                        .as_str()
                        .map(str::to_owned)
                })?
            })
            .collect()
    }

    /// Console messages since the last call: errors, and violations of the policy.
    pub async fn complaints(&self) -> Vec<String> {
        self.log("browser")
            .await
            .iter()
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let entries = self.issue("se/log", json!({ "type": kind })).await;
        entries.as_array().expect("a log").clone()
    }

    /// Sends a command of the Chrome `DevTools` Protocol.
    async fn tell(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.issue("goog/cdp/execute", body).await
    }

    async fn issue(&self, path: &'static str, body: Value) -> Value {
        let answer = self.client.issue_cmd(Extra { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// A command of chromedriver in addition to the standard ones.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// The chromedriver process.
struct Driver {
    child: Child,
    port: Port,
    session: Option<String>,
    /// Kept open, because chromedriver may write to it.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    fn start() -> Self {
        // If chromedriver chooses a port itself, it reports none on machines without IPv6.
        let port = Port::reserve();
        let mut child = Command::new("chromedriver")
            .arg(format!("--port={}", port.address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver (Debian: chromium-driver): {error}"));
        let output = child.stdout.take().expect("a pipe");
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while !line.contains("started successfully") {
            line.clear();
            let read = output.read_line(&mut line).expect("a line");
            assert!(read > 0, "chromedriver ended before it was ready");
        }
        Self {
            child,
            port,
            session: None,
            _output: output,
        }
    }

    /// Ends Chromium, even after a panic, when no future can be awaited any more.
    fn end_session(&self) -> std::io::Result<()> {
        let Some(session) = &self.session else {
            return Ok(());
        };
        let mut stream = TcpStream::connect(self.port.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let host = self.port.address;
        write!(
            stream,
            "DELETE /session/{session} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        // The answer arrives when Chromium has ended; the connection may stay open.
        stream.read(&mut [0; 64]).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.end_session();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
