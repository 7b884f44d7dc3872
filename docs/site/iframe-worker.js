// Search from file://. Browsers start no Worker there, so an iframe of the same page plays one. What the theme expects of such a
// thing: the name IFrameWorker, and a script element with the worker's address inside the frame.
window.IFrameWorker = class extends EventTarget {
  constructor(url) {
    super()
    const frame = document.createElement("iframe")
    frame.hidden = true
    document.body.appendChild(frame)
    const inside = frame.contentWindow
    inside.postMessage = data => {
      const event = new MessageEvent("message", { data })
      this.dispatchEvent(event)
      if (this.onmessage) this.onmessage(event)
    }
    this.inside = inside
    this.ready = new Promise((resolve, reject) => {
      const script = inside.document.createElement("script")
      script.src = url
      script.onload = resolve
      script.onerror = reject
      inside.document.body.appendChild(script)
    })
  }

  postMessage(data) {
    this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
  }

  terminate() {
    this.inside.frameElement.remove()
  }
}
if (location.protocol === "file:") window.Worker = window.IFrameWorker
