"use strict";
// Before anything is shown: the language that the address asks for, else the browser's, else English.
const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language;
document.documentElement.lang = asked.toLowerCase().startsWith("ko") ? "ko" : "en";
